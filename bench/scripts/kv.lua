default_type text/plain;
content_by_lua_block {
    local count = ngx.shared.state:incr("hits", 1, 0)
    local body = (count % 10) .. "\n"
    ngx.header["Content-Length"] = #body
    ngx.print(body)
}
