import { play } from '../../language/index.js'

export const scenario = play(`
scenario breaking/a-lease-request-that-is-interrupted
claim A wait for a lease ends with EINTR as well, and leaves no lease behind.
rules B7 L6
break-time 10000
file f
process holder alice
process asker bob
process friend bob

holder:  fd = open f rdonly
holder:  A = lease fd normal read
asker:   g = open f rdwr
asker:   B = lease g normal write wait -> waits
friend:  kill asker SIGUSR1
B -> EINTR
holder:  release fd A
asker:   poll g -> ok nothing
asker:   C = lease g normal write
`)
