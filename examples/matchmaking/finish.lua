-- Makes matches, and returns how many. Returns nil, and makes none, if a later worker has begun.
--
-- KEYS: the latest token, the waiting players, the matches. ARGV: the token, and the two players of each match.

if redis.call("GET", KEYS[1]) ~= ARGV[1] then
    return nil
end
for i = 2, #ARGV, 2 do
    local one, other = ARGV[i], ARGV[i + 1]
    redis.call("HDEL", KEYS[2], one, other)
    redis.call("RPUSH", KEYS[3], one .. " " .. other)
end
return (#ARGV - 1) / 2
