import { play } from '../../language/index.js'

export const scenario = play(`
scenario rights/a-squatter-can-be-removed
claim The owner of a file can take away an exclusive lease that somebody else sits on.
rules X4 L8
question What if somebody squats on a file with a lease that cannot be broken?
file f
process owner alice
process squatter bob

squatter:  fd = open f rdwr
squatter:  A = lease fd exclusive read
owner:     truncate f 0 -> ETXTBSY
owner:     revoke A
told A refused by owner, A revoked
lease A revoked
owner:     truncate f 0
squatter:  poll fd -> ok ERR
squatter:  P = pin fd A -> EPERM
squatter:  release fd A
squatter:  poll fd -> ok nothing
`)
