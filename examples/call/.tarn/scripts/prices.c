/* Is called by shop.c. It has no request entry, so it is no part of the chain; the name of the file
 * without its ending is what others call it by. */
#include <tarn.h>

static zs_s64
number_of(zs_s64 object, const char *key, zs_s64 otherwise)
{
    char text[8];
    zs_s64 number = 0;
    zs_s64 value = zs_json_get(object, ZS_STR(key));
    if (value < 0 || zs_json_read_string(value, text, sizeof text) < 1)
        return otherwise;
    for (char *at = text; *at; at++) {
        if (*at < '0' || *at > '9')
            return otherwise;
        number = number * 10 + (*at - '0');
    }
    return number;
}

/* {"item":"tea","count":"3"} -> {"item":"tea","cents":720}, or -1: there is no such item. */
TARN_CALL_ENTRY(price, question)
{
    char item[32];
    zs_s64 cents = 0;
    zs_s64 prices = zs_load_static_json(ZS_STR(".tarn/prices.json"));
    zs_s64 name = zs_json_get(question, ZS_STR("item"));
    if (prices < 0 || name < 0)
        return -1;
    zs_s64 len = zs_json_read_string(name, item, sizeof item);
    zs_s64 value = len < 1 ? -1 : zs_json_get(prices, item, len);
    if (value < 0 || zs_json_read_i64(value, &cents, sizeof cents) < 0)
        return -1;

    zs_s64 sum = zs_json_new_object(), answer = zs_json_new_object();
    zs_json_set_i64(sum, cents * number_of(question, "count", 1));
    zs_json_set(answer, ZS_STR("item"), name);
    zs_json_set(answer, ZS_STR("cents"), sum);
    return answer;
}
