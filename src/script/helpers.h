/* helpers: the one table of all helpers: name and number of arguments. The functions are in the
 * helper_*.c files, by family; each takes the words of script.md's table in that order.
 *
 * Their conventions are in task.h and docs/scripting.md: a view outside of the script's memory
 * traps, length 0 never touches the pointer, an output that overlaps another view of the same call
 * traps, text must be UTF-8.
 */
#ifndef TARN_SCRIPT_HELPERS_H
#define TARN_SCRIPT_HELPERS_H

#include "bpf/helper.h"

#define SCRIPT_HELPER_TABLE(X)                           \
    /* text, time, hashes */                             \
    X(zs_log, 2)                                         \
    X(zs_now_ms, 0)                                      \
    X(zs_version, 2)                                     \
    X(zs_env_get, 4)                                     \
    X(zs_getrandom, 2)                                   \
    X(zs_sha256, 4)                                      \
    X(zs_hmac_sha256, 5)                                 \
    X(zs_base64_encode, 5)                               \
    X(zs_base64_decode_in_place, 3)                      \
    X(zs_hex_encode, 5)                                  \
    X(zs_hex_decode_in_place, 2)                         \
    X(zs_memcpy, 3)                                      \
    X(zs_memset, 3)                                      \
    X(zs_memcmp, 3)                                      \
    X(zs_html_escape, 4)                                 \
    X(zs_jwt_verify, 4)                                  \
    X(zs_geoip, 2)                                       \
    X(zs_aws_v4_authorization_header, 2)                 \
    X(zs_aws_v4_presigned_url, 3)                        \
    X(zs_vici_eap_identity_by_ip, 2)                     \
    /* JSON */                                           \
    X(zs_json_parse, 2)                                  \
    X(zs_load_static_json, 2)                            \
    X(zs_load_file_metadata, 2)                          \
    X(zs_json_get, 3)                                    \
    X(zs_json_array_get, 2)                              \
    X(zs_json_read_string, 3)                            \
    X(zs_json_read_i64, 3)                               \
    X(zs_json_read_bool, 3)                              \
    X(zs_json_new_object, 0)                             \
    X(zs_json_new_array, 0)                              \
    X(zs_json_clone, 1)                                  \
    X(zs_json_len, 1)                                    \
    X(zs_json_type, 1)                                   \
    X(zs_json_set, 4)                                    \
    X(zs_json_remove, 3)                                 \
    X(zs_json_array_push, 2)                             \
    X(zs_json_array_set, 3)                              \
    X(zs_json_set_string, 3)                             \
    X(zs_json_set_i64, 2)                                \
    X(zs_json_set_bool, 2)                               \
    X(zs_json_set_null, 1)                               \
    X(zs_json_reset, 1)                                  \
    X(zs_object_free, 1)                                 \
    X(zs_json_respond, 2)                                \
    /* the request */                                    \
    X(zs_req_body_json, 0)                               \
    X(zs_req_body, 2)                                    \
    X(zs_req_method, 2)                                  \
    X(zs_req_set_method, 2)                              \
    X(zs_req_path, 2)                                    \
    X(zs_req_normalized_path, 2)                         \
    X(zs_req_uri, 2)                                     \
    X(zs_req_set_uri, 2)                                 \
    X(zs_req_query, 2)                                   \
    X(zs_req_query_param, 4)                             \
    X(zs_req_query_param_matches, 4)                     \
    X(zs_req_scheme, 2)                                  \
    X(zs_req_peer, 2)                                    \
    X(zs_req_proto_major, 0)                             \
    X(zs_req_proto_minor, 0)                             \
    X(zs_req_is_tls, 0)                                  \
    X(zs_req_tls_handshake_complete, 0)                  \
    X(zs_req_remote_ip_matches, 2)                       \
    X(zs_connection_info, 0)                             \
    X(zs_req_header, 4)                                  \
    X(zs_req_cookie, 4)                                  \
    X(zs_req_set_header, 4)                              \
    X(zs_req_append_header, 4)                           \
    X(zs_req_delete_header, 2)                           \
    X(zs_req_replace_header, 2)                          \
    X(zs_req_rewrite_uri, 2)                             \
    X(zs_req_rewrite_query, 2)                           \
    X(zs_req_body_limit, 1)                              \
    /* the answer, the response, hooks */                \
    X(zs_meta_get, 4)                                    \
    X(zs_meta_set, 4)                                    \
    X(zs_respond, 3)                                     \
    X(zs_respond_file, 3)                                \
    X(zs_redirect, 3)                                    \
    X(zs_response_pending, 0)                            \
    X(zs_response_clear, 0)                              \
    X(zs_abort, 0)                                       \
    X(zs_reverse_proxy, 2)                               \
    X(zs_file_server, 2)                                 \
    X(zs_res_hook, 5)                                    \
    X(zs_res_hooks_clear, 0)                             \
    X(zs_res_status, 0)                                  \
    X(zs_res_set_status, 1)                              \
    X(zs_res_header, 4)                                  \
    X(zs_res_set_header, 4)                              \
    X(zs_res_append_header, 4)                           \
    X(zs_res_remove_header, 2)                           \
    X(zs_res_replace_header, 2)                          \
    X(zs_res_continue_request, 0)                        \
    /* other scripts, shared state, the world outside */ \
    X(zs_call, 5)                                        \
    X(zs_rate_limit, 5)                                  \
    X(zs_kv_get, 4)                                      \
    X(zs_kv_set, 5)                                      \
    X(zs_kv_incr, 4)                                     \
    X(zs_kv_delete, 2)                                   \
    X(zs_fetch, 2)                                       \
    X(zs_oidc_begin_login, 3)                            \
    X(zs_oidc_handle_callback, 1)                        \
    X(zs_oidc_session_verify, 1)                         \
    X(zs_oidc_logout, 3)

/* Each is a bpf_helper_fn of its name. */
#define X(name, argument_count) bpf_helper_fn name;
SCRIPT_HELPER_TABLE(X)
#undef X

/* All of the above, and "memcpy" and "memset", which compilers call by themselves. */
extern const struct bpf_helper_table script_helpers;
/* Arguments of the helper `number`. */
unsigned script_helper_argument_count(uint32_t number);

/* The head of a helper's definition. */
#define SCRIPT_HELPER(name)                                                        \
    uint64_t name(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, \
                  struct bpf_run *run)

#endif
