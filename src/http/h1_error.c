#include "http/h1_error.h"
#include "base/must.h"

struct error_row {
    int status;
    struct str text;
};

static const struct error_row error_rows[] = {[H1_ERROR_NONE] = {200, STR_INIT("no error")},
#define X(name, status, text) [H1_ERROR_##name] = {status, STR_INIT(text)},
                                              H1_ERROR_TABLE(X)
#undef X
};

int
h1_error_status(enum h1_error error)
{
    must((size_t)error < sizeof(error_rows) / sizeof(error_rows[0]));
    return error_rows[error].status;
}

struct str
h1_error_text(enum h1_error error)
{
    must((size_t)error < sizeof(error_rows) / sizeof(error_rows[0]));
    return error_rows[error].text;
}
