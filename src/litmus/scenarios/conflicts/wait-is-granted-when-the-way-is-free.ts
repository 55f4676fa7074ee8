import { play } from '../../language/index.js'

export const scenario = play(`
scenario conflicts/wait-is-granted-when-the-way-is-free
claim WAIT breaks what is in the way and returns with the lease.
rules L6 B3
break-time 10000
file f
process holder alice
process asker bob

holder:  fd = open f rdonly
holder:  A = lease fd normal read
asker:   g = open f rdwr
asker:   B = lease g exclusive write wait -> waits
told A break by asker
holder:  close fd
B -> ok
lease B active exclusive write owners asker
`)
