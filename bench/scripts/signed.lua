access_by_lua_block {
    local args = ngx.req.get_uri_args()
    local until_s = tonumber(args.expires) or 0
    local mac = ngx.hmac_sha1("a secret of thirty-two bytes....", ngx.var.uri .. args.expires)
    local hex = mac:gsub(".", function(c) return string.format("%02x", c:byte()) end)
    if hex ~= args.sig or until_s < ngx.time() then
        return ngx.exit(403)
    end
}
