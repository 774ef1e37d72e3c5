-- Notes the token of a worker that begins, and returns who waits, with their skill. Returns nil if a later worker
-- has begun.
--
-- KEYS: the latest token, the waiting players. ARGV: the token.

local latest = redis.call("GET", KEYS[1])
-- Lua's numbers have 53 bits, and tokens up to 62: so they are compared as strings.
if latest and (#latest > #ARGV[1] or (#latest == #ARGV[1] and latest >= ARGV[1])) then
    return nil
end
redis.call("SET", KEYS[1], ARGV[1])
return redis.call("HGETALL", KEYS[2])
