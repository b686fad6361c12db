default_type text/plain;
content_by_lua_block {
    ngx.req.read_body()
    local body = require("cjson").decode(ngx.req.get_body_data())
    local name = body.user.name
    ngx.header["Content-Length"] = #name
    ngx.print(name)
}
