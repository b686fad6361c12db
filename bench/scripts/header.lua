header_filter_by_lua_block {
    ngx.header["X-Frame-Options"] = "DENY"
    ngx.header["X-Request-Handled"] = "yes"
}
