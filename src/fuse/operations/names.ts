/** Operations on names in directories. */
import type { EntryReply, LostState } from '../api.js'
import { putEntry } from '../encode-body.js'
import { BODY, type ReplyBuffer } from '../reply-buffer.js'
import { linkIn, mkdirIn, mknodIn, rename2In, renameIn } from '../wire/structs.js'
import { emptyOperation, NOT_IMPLEMENTED, type Operation } from './operation.js'

function entryOperation(call: Operation<EntryReply>['call']): Operation<EntryReply> {
  return {
    call,
    encode(reply: ReplyBuffer, value: EntryReply) {
      reply.bodySize = putEntry(reply.bytes, BODY, value)
    },
    created: lostEntry,
  }
}

/** A negative entry has no nodeid and counts no lookup. */
function lostEntry(value: EntryReply): LostState {
  return { nodeids: value.nodeid === 0 ? [] : [value.nodeid], fh: null }
}

export const NAME_OPERATIONS = {
  LOOKUP: entryOperation((fs, request, body) => fs.lookup?.(request, body.lastNameZ()) ?? NOT_IMPLEMENTED),
  SYMLINK: entryOperation(
    (fs, request, body) => fs.symlink?.(request, body.nameZ(), body.lastNameZ()) ?? NOT_IMPLEMENTED,
  ),
  MKNOD: entryOperation((fs, request, body) => {
    const { mode, rdev, umask } = body.decode(mknodIn)
    return fs.mknod?.(request, body.lastNameZ(), mode, rdev, umask) ?? NOT_IMPLEMENTED
  }),
  MKDIR: entryOperation((fs, request, body) => {
    const { mode, umask } = body.decode(mkdirIn)
    return fs.mkdir?.(request, body.lastNameZ(), mode, umask) ?? NOT_IMPLEMENTED
  }),
  LINK: entryOperation((fs, request, body) => {
    const { oldnodeid } = body.decode(linkIn)
    return fs.link?.(request, oldnodeid, body.lastNameZ()) ?? NOT_IMPLEMENTED
  }),
  UNLINK: emptyOperation((fs, request, body) => fs.unlink?.(request, body.lastNameZ()) ?? NOT_IMPLEMENTED),
  RMDIR: emptyOperation((fs, request, body) => fs.rmdir?.(request, body.lastNameZ()) ?? NOT_IMPLEMENTED),
  RENAME: emptyOperation((fs, request, body) => {
    const { newdir } = body.decode(renameIn)
    return fs.rename?.(request, body.nameZ(), newdir, body.lastNameZ(), 0) ?? NOT_IMPLEMENTED
  }),
  RENAME2: emptyOperation((fs, request, body) => {
    const { newdir, flags } = body.decode(rename2In)
    return fs.rename?.(request, body.nameZ(), newdir, body.lastNameZ(), flags) ?? NOT_IMPLEMENTED
  }),
}
