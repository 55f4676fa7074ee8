import { play } from '../../language/index.js'

export const scenario = play(`
scenario conflicts/nobody-overtakes-a-waiting-request
claim A lease request does not go ahead of one that waits and conflicts with it.
rules L6
break-time 10000
file f
process holder alice
process first bob
process second alice

holder:  fd = open f rdonly
holder:  A = lease fd normal read
first:   g = open f rdwr
first:   B = lease g normal write wait -> waits
second:  h = open f rdonly
second:  C = lease h normal read -> EAGAIN
holder:  release fd A
B -> ok
`)
