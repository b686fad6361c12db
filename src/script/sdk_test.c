/* The script header against the table of helpers: a helper that scripts cannot call, or that they
 * call with other arguments, is found here. */
#include "script/sdk.h"

#include "script/helpers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

struct row {
    const char *name;
    unsigned argument_count;
};

static const struct row rows[] = {
#define X(name, argument_count) {#name, argument_count},
    SCRIPT_HELPER_TABLE(X)
#undef X
};

enum { ROWS = sizeof rows / sizeof *rows };

static bool seen[ROWS];

static unsigned
count_arguments(struct str list)
{
    unsigned count = 1;
    if (str_eq(list, STR("void")))
        return 0;
    for (size_t i = 0; i < list.len; i++)
        count += list.ptr[i] == ',';
    return count;
}

/* "extern zs_s64 zs_log(const char *msg, zs_u64 len);" */
static void
check_prototype(struct str prototype)
{
    size_t open = str_find_char(prototype, '(');
    assert_true(open < prototype.len && prototype.ptr[prototype.len - 1] == ')');
    size_t start = open;
    while (start > 0 && prototype.ptr[start - 1] != ' ' && prototype.ptr[start - 1] != '*')
        start--;
    struct str name = str_make(prototype.ptr + start, open - start);
    struct str list = str_make(prototype.ptr + open + 1, prototype.len - open - 2);
    for (unsigned i = 0; i < ROWS; i++) {
        if (!str_eq(name, str_from_cstr(rows[i].name)))
            continue;
        if (seen[i] || count_arguments(list) != rows[i].argument_count)
            fail_msg("%s: declared twice, or with other than %u arguments", rows[i].name,
                     rows[i].argument_count);
        seen[i] = true;
        return;
    }
    fail_msg("%.*s is no helper", STR_ARG(name));
}

static void
the_header_declares_all_helpers_and_no_others(void **state)
{
    struct str text = script_sdk_tarn();
    size_t at;
    while ((at = str_find(text, STR("\nextern "))) < text.len) {
        text = str_skip(text, at + 1);
        check_prototype(str_first(text, str_find_char(text, ';')));
    }
    for (unsigned i = 0; i < ROWS; i++)
        if (!seen[i])
            fail_msg("%s is not declared", rows[i].name);
}

/* What the spec's last paragraph of helpers names. */
static void
the_header_has_what_scripts_expect(void **state)
{
    static const char *const names[] = {
        "zs_strncpy",
        "zs_strcpy",
        "zs_stpcpy",
        "zs_strcmp",
        "zs_strncmp",
        "zs_strrchr",
        "zs_strlen",
        "zs_utoa10",
        "#define ZS_STR(",
        "#define ZS_STR_WITH_NULL(",
        "#define ZS_SECTION(",
        "#define ZS_ENTRY ",
        "#define TARN_ENTRY ",
        "#define ZS_CALL_ENTRY(",
        "#define TARN_CALL_ENTRY(",
        "#define ZS_TLS_ENTRY ",
        "#define ZS_TLS_REQUEST_ENTRY ",
        "#define ZS_INLINE ",
        "#define ZS_MAYBE_UNUSED ",
        "#define ZS_MIN(",
        "#define ZS_MAX(",
        "#define ZS_BASE64_STANDARD 0\n",
        "#define ZS_BASE64_STANDARD_NO_PAD 1\n",
        "#define ZS_BASE64_URL 2\n",
        "#define ZS_BASE64_URL_NO_PAD 3\n",
        "#define ZS_HEX_LOWERCASE 0\n",
        "#define ZS_HEX_UPPERCASE 1\n",
        "#define ZS_JSON_NULL 0\n",
        "#define ZS_JSON_BOOL 1\n",
        "#define ZS_JSON_NUMBER 2\n",
        "#define ZS_JSON_STRING 3\n",
        "#define ZS_JSON_ARRAY 4\n",
        "#define ZS_JSON_OBJECT 5\n",
        "#define ZS_RATE_LIMIT_ALLOWED 0\n",
        "#define ZS_RATE_LIMIT_EXCEEDED_SECOND 1\n",
        "#define ZS_RATE_LIMIT_EXCEEDED_MINUTE 2\n",
        "#define ZS_RATE_LIMIT_EXCEEDED_HOUR 3\n",
        "#define ZS_RATE_LIMIT_EXCEEDED_BUCKET_LIMIT 4\n",
        "} zs_aws_v4_sign_params;",
    };
    struct str text = script_sdk_tarn();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_find(text, str_from_cstr(names[i])) == text.len)
            fail_msg("there is no %s", names[i]);
}

static void
headers_are_whole(void **state)
{
    struct str tarn = script_sdk_tarn(), zeroserve = script_sdk_zeroserve();
    assert_true(str_starts_with(tarn, STR("/* tarn.h:")));
    assert_true(str_ends_with(tarn, STR("\n#endif\n")));
    assert_true(str_starts_with(zeroserve, STR("/* zeroserve.h:")));
    assert_true(str_find(zeroserve, STR("\n#include <tarn.h>\n")) < zeroserve.len);
    assert_true(str_ends_with(zeroserve, STR("\n#endif\n")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_header_declares_all_helpers_and_no_others),
        cmocka_unit_test(the_header_has_what_scripts_expect),
        cmocka_unit_test(headers_are_whole),
    };
    return cmocka_run_group_tests_name("sdk", tests, NULL, NULL);
}
