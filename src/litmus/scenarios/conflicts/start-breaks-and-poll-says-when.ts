import { play } from '../../language/index.js'

export const scenario = play(`
scenario conflicts/start-breaks-and-poll-says-when
claim START breaks what is in the way without waiting, and poll says when to ask again.
rules L6 B2
break-time 10000
file f
process holder alice
process asker bob

holder:  fd = open f rdonly
holder:  A = lease fd normal read
asker:   g = open f rdwr
asker:   B = lease g normal write start -> EAGAIN
told A break by asker
holder:  poll fd -> ok PRI
asker:   poll g -> ok nothing
holder:  release fd A
asker:   poll g -> ok PRI
asker:   B = lease g normal write
asker:   poll g -> ok nothing
`)
