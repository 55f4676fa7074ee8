import { play } from '../../language/index.js'

export const scenario = play(`
scenario breaking/opening-with-o-trunc
claim Opening a leased file with O_TRUNC waits, and the descriptor is there when it has happened.
rules B1 B3
break-time 10000
file f
process holder alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd normal read
breaker:  g = open f rdwr trunc -> waits
told A break by breaker
holder:   read fd 0 8192 -> ok 8192 data
holder:   close fd
g -> ok
breaker:  read g 0 1 -> ok 0
`)
