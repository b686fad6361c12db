access_by_lua_block {
    local state, key = ngx.shared.state, ngx.var.remote_addr
    local now = ngx.time()
    local second = state:incr("s" .. key .. now, 1, 0, 2)
    local minute = state:incr("m" .. key .. math.floor(now / 60), 1, 0, 120)
    local hour = state:incr("h" .. key .. math.floor(now / 3600), 1, 0, 7200)
    if second > 100000000 or minute > 1000000000 or hour > 2000000000 then
        return ngx.exit(429)
    end
}
