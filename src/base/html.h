/* html: characters that mean something in HTML, and how they are written as text. Pure. */
#ifndef TARN_BASE_HTML_H
#define TARN_BASE_HTML_H

#include "base/str.h"

/* The reference to write for a character in an element, or in an attribute in either kind of
 * quotes; empty: the character stays as it is. */
static inline struct str
html_reference(char c)
{
    switch (c) {
    case '&':
        return STR("&amp;");
    case '<':
        return STR("&lt;");
    case '>':
        return STR("&gt;");
    case '"':
        return STR("&quot;");
    case '\'':
        return STR("&#39;");
    default:
        return (struct str){0};
    }
}

#endif
