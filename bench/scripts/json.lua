default_type application/json;
content_by_lua_block {
    local body = require("cjson").encode({
        host = ngx.var.http_host, answer = 42, ok = true
    })
    ngx.header["Content-Length"] = #body
    ngx.print(body)
}
