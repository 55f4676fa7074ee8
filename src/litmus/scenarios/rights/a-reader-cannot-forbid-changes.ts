import { play } from '../../language/index.js'

export const scenario = play(`
scenario rights/a-reader-cannot-forbid-changes
claim Who neither owns the file nor has it open for writing gets no exclusive lease, and a normal one that only tells.
rules L8
question Who may take a lease that cannot be broken?
file f 8192 bytes of alice mode 644
process reader bob
process breaker alice

reader:   fd = open f rdonly
reader:   A = lease fd exclusive read -> EPERM
reader:   A = lease fd normal read
lease A active normal read notify-only
breaker:  truncate f 0
told A break by breaker
reader:   poll fd -> ok PRI
reader:   change fd A exclusive read -> EPERM
`)
