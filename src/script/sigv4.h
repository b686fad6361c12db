/* sigv4: requests signed for AWS, Signature Version 4 (AWS General Reference, "Signing AWS API
 * requests"). Pure: nothing is sent, read or allocated.
 *
 * The canonical request is made of what is given, as it will be sent. Its query is decoded and
 * encoded again, so that it does not matter how much of it is encoded, and sorted. What is done
 * with its path depends on the service: S3 takes it as it is and encodes it once; all others
 * take the path on the wire, without dot segments and empty ones, and encode that once more.
 */
#ifndef TARN_SCRIPT_SIGV4_H
#define TARN_SCRIPT_SIGV4_H

#include "base/limits.h"
#include "base/str.h"

struct sigv4_field {
    struct str name, value; /* name in any case; of several with one name the order counts */
};

struct sigv4_request {
    struct str access_key, secret_key, region, service;
    struct str method; /* in any case */
    struct str uri;    /* "/path?query"; an empty path is "/" */
    const struct sigv4_field *fields;
    unsigned field_count;
    struct str body_hash; /* as it stands in the canonical request; not for presigned ones */
    int64_t time_s;       /* since 1970 */
    bool keeps_path;      /* see sigv4_keeps_path */
};

/* Whether that service takes paths as they are. */
bool sigv4_keeps_path(struct str service);

enum sigv4_result {
    SIGV4_OK,
    SIGV4_TOO_LARGE, /* more than a limit, or a time before 1970 or behind 9999 */
    SIGV4_REFUSED,   /* could not be right: no Host field, or a name that is none */
};

struct sigv4_param {
    struct str name, value; /* encoded */
};

struct sigv4_line {
    struct str name, value; /* name in lower case */
};

/* Memory for one call; needs no beginning. Afterwards `canonical` is the canonical request. */
struct sigv4_work {
    char canonical[48 << 10];
    size_t canonical_len;
    char query[3 * SIGV4_URI_MAX + 4096]; /* encoded parameters, not in order */
    char names[SIGV4_FIELDS_LEN_MAX];     /* of fields, in lower case */
    char signed_names[SIGV4_FIELDS_LEN_MAX];
    char out[6 * SIGV4_URI_MAX + 8192];
    struct sigv4_param params[SIGV4_PARAMS_MAX];
    struct sigv4_line lines[SIGV4_FIELDS_MAX];
};

/* The value of an Authorization field for the request, in *out, which is work's. */
enum sigv4_result sigv4_authorization(struct sigv4_work *work, const struct sigv4_request *request,
                                      struct str *out);
/* Path and query of the request with the signature in it, good for `expires_s` seconds. The body
 * is not signed ("UNSIGNED-PAYLOAD"). */
enum sigv4_result sigv4_presign(struct sigv4_work *work, const struct sigv4_request *request,
                                uint64_t expires_s, struct str *out);

#endif
