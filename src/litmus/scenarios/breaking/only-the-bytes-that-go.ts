import { play } from '../../language/index.js'

export const scenario = play(`
scenario breaking/only-the-bytes-that-go
claim A change on other bytes than the leased ones does not wait.
rules B1 L1
break-time 10000
file f
process holder alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd normal read 0..4096
breaker:  g = open f rdwr
breaker:  punch g 4096..8192
breaker:  truncate f 4096
told nothing
breaker:  t = truncate f 4095 -> waits
told A break by breaker
holder:   close fd
t -> ok
`)
