/* S3 presign: /files/NAME leads to an object of a private S3 bucket, by a link that works for a
 * minute. The content goes from S3 to the client; the server only signs.
 *
 *   export TARN_SCRIPT_S3_ACCESS_KEY=... TARN_SCRIPT_S3_SECRET_KEY=...
 *   tarn examples/s3-presign
 *   curl -i localhost:8080/files/report.pdf     307 to https://reports.s3.eu-central-1...
 *
 * Put one of the other recipes in front of it, to decide who gets a link.
 */
#include <tarn.h>

#define BUCKET "reports"
#define REGION "eu-central-1"
#define HOST BUCKET ".s3." REGION ".amazonaws.com"

enum { TEXT_MAX = 2048, LINK_MAX = 3072, VALID_SECONDS = 60 };

static int
read_credentials(char *access, char *secret, zs_u64 len)
{
    zs_s64 access_len = zs_env_get(ZS_STR("TARN_SCRIPT_S3_ACCESS_KEY"), access, len);
    zs_s64 secret_len = zs_env_get(ZS_STR("TARN_SCRIPT_S3_SECRET_KEY"), secret, len);
    return access_len > 0 && secret_len > 0;
}

/* {"host": HOST}: what is signed of the request's header. */
static zs_s64
signed_headers(void)
{
    return zs_json_parse(ZS_STR("{\"host\":\"" HOST "\"}"));
}

TARN_ENTRY zs_u64
request(void)
{
    static char path[TEXT_MAX], url[LINK_MAX + 128];
    char access[128], secret[128];
    zs_s64 len = zs_req_path(path, sizeof path);
    if (len == sizeof path || zs_strncmp(path, "/files/", 7) != 0)
        return 0;
    if (!read_credentials(access, secret, sizeof access)) {
        zs_log(ZS_STR("no TARN_SCRIPT_S3_ACCESS_KEY or TARN_SCRIPT_S3_SECRET_KEY\n"));
        zs_respond(500, ZS_STR("Not set up.\n"));
        return 0;
    }

    /* The result is a path with a query; scheme and host go before it. */
    char *out = zs_stpcpy(url, "https://" HOST);
    zs_aws_v4_sign_params params = {
        .access_key = access,
        .access_key_len = zs_strlen(access),
        .secret_key = secret,
        .secret_key_len = zs_strlen(secret),
        .region = REGION,
        .region_len = sizeof REGION - 1,
        .service = "s3",
        .service_len = 2,
        .method = "GET",
        .method_len = 3,
        .uri = path + 6, /* "/report.pdf" */
        .uri_len = len - 6,
        .headers_json = signed_headers(),
        .timestamp_ms = (zs_s64)zs_now_ms(),
        .out = out,
        .out_len = LINK_MAX,
    };
    zs_s64 link_len = zs_aws_v4_presigned_url(&params, sizeof params, VALID_SECONDS);
    zs_meta_set(ZS_STR("zs.response.header.cache-control"), ZS_STR("private, no-store"));
    if (link_len < 1 || link_len == LINK_MAX)
        zs_respond(500, ZS_STR("Cannot sign this.\n"));
    else
        zs_redirect(307, url, out - url + link_len);
    return 0;
}
