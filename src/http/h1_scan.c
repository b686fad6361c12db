#include "http/h1_scan.h"

enum { TOKEN = H1_BYTE_TOKEN | H1_BYTE_TEXT, TEXT = H1_BYTE_TEXT };

/* Rows in the order of the code points; what is not named is a control character and in no class.
 */
const uint8_t h1_byte_class[256] = {
    ['\t'] = TEXT,          [' '] = TEXT,         ['!'] = TOKEN,         ['"'] = TEXT,
    ['#' ... '\''] = TOKEN, ['(' ... ')'] = TEXT, ['*' ... '+'] = TOKEN, [','] = TEXT,
    ['-' ... '.'] = TOKEN,  ['/'] = TEXT,         ['0' ... '9'] = TOKEN, [':' ... '@'] = TEXT,
    ['A' ... 'Z'] = TOKEN,  ['[' ... ']'] = TEXT, ['^' ... 'z'] = TOKEN, ['{'] = TEXT,
    ['|'] = TOKEN,          ['}'] = TEXT,         ['~'] = TOKEN,         [0x80 ... 0xff] = TEXT,
};
