/* API keys: whoever asks for something below /api/ shows a key, and each key opens some paths.
 *
 *   curl -i localhost:8080/api/builds.json                            401
 *   curl -i -H 'X-Api-Key: ci-7c1f0a9e' localhost:8080/api/builds.json   200
 *   curl -i -H 'X-Api-Key: ci-7c1f0a9e' localhost:8080/api/billing.json  403
 *
 * .tarn/api-keys.json has the SHA-256 of each key, not the key: who reads the file cannot use it.
 * Keys must be long and random; then a plain hash without salt is enough. For a new one:
 *
 *   KEY=$(openssl rand -hex 16); printf %s "$KEY" | sha256sum
 */
#include <tarn.h>

static void
refuse(zs_u64 status, const char *why)
{
    zs_s64 answer = zs_json_new_object();
    zs_s64 text = zs_json_new_object(); /* any new node: set_string makes it a string */
    zs_json_set_string(text, ZS_STR(why));
    zs_json_set(answer, ZS_STR("error"), text);
    zs_json_respond(status, answer);
}

/* The entry of the key that the request shows, or -1. */
static zs_s64
entry_of_key(void)
{
    char key[256], hash[32], hex[64];
    zs_s64 len = zs_req_header(ZS_STR("X-Api-Key"), key, sizeof key);
    if (len == 0 || len == sizeof key)
        return -1;
    zs_sha256(key, len, hash, sizeof hash);
    zs_hex_encode(hash, sizeof hash, hex, sizeof hex, ZS_HEX_LOWERCASE);
    zs_s64 keys = zs_load_static_json(ZS_STR(".tarn/api-keys.json"));
    return keys < 0 ? -1 : zs_json_get(keys, hex, sizeof hex);
}

/* Whether one of the entry's "paths" is the path, or a folder that it lies in. */
static int
opens(zs_s64 entry, const char *path)
{
    zs_s64 paths = zs_json_get(entry, ZS_STR("paths"));
    if (paths < 0)
        return 0;
    zs_s64 count = zs_json_len(paths);
    for (zs_s64 i = 0; i < count; i++) {
        char open[256];
        zs_s64 item = zs_json_array_get(paths, i);
        zs_s64 len = zs_json_read_string(item, open, sizeof open);
        zs_object_free(item); /* at most 32 handles may be live: give them back in a loop */
        if (len < 1 || len == sizeof open)
            continue;
        if (zs_strncmp(path, open, len) == 0 &&
            (path[len] == '\0' || path[len] == '/' || open[len - 1] == '/'))
            return 1;
    }
    return 0;
}

TARN_ENTRY zs_u64
request(void)
{
    char path[1024], name[64];
    zs_req_normalized_path(path, sizeof path);
    if (zs_strcmp(path, "/api") != 0 && zs_strncmp(path, "/api/", 5) != 0)
        return 0;

    zs_meta_set(ZS_STR("zs.response.header.cache-control"), ZS_STR("private, no-store"));
    zs_s64 entry = entry_of_key();
    if (entry < 0) {
        refuse(401, "a valid X-Api-Key is needed");
        return 0;
    }
    if (!opens(entry, path)) {
        refuse(403, "this key does not open this path");
        return 0;
    }

    /* Who it is, for scripts that follow. The key itself goes no further. */
    zs_s64 name_json = zs_json_get(entry, ZS_STR("name"));
    if (name_json >= 0 && zs_json_read_string(name_json, name, sizeof name) > 0)
        zs_meta_set(ZS_STR("api.client"), ZS_STR(name));
    zs_req_delete_header(ZS_STR("X-Api-Key"));
    return 0;
}
