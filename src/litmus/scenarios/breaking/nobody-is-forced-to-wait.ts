import { play } from '../../language/index.js'

export const scenario = play(`
scenario breaking/nobody-is-forced-to-wait
claim A breaker with O_NONBLOCK gets EAGAIN at once, and the break it started goes on.
rules B6
break-time 600
file f
process holder alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd normal read
breaker:  g = open f rdwr nonblock
breaker:  ftruncate g 0 -> EAGAIN
told A break by breaker
lease A breaking
breaker:  h = open f rdwr trunc nonblock -> EAGAIN
told nothing
deadline
lease A revoked
breaker:  ftruncate g 0
`)
