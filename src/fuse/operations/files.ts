/** Operations on open files. */
import { assert } from '../../lib/assert.js'
import type { CreateReply, LostState, OpenReply } from '../api.js'
import type { RequestBody } from '../body.js'
import { put64, putCreate, putOpen, putPadded32 } from '../encode-body.js'
import { BODY, type ReplyBuffer } from '../reply-buffer.js'
import type { Request } from '../request.js'
import { FSYNC_FLAGS } from '../wire/flags.js'
import * as s from '../wire/structs.js'
import { emptyOperation, NOT_IMPLEMENTED, type Operation, operation } from './operation.js'

/** OPEN and OPENDIR. */
export function openOperation(call: Operation<OpenReply>['call']): Operation<OpenReply> {
  return {
    call,
    encode(reply, value) {
      reply.bodySize = putOpen(reply.bytes, BODY, value)
    },
    created: (value) => ({ nodeids: [], fh: value.fh }),
  }
}

function createOperation(call: Operation<CreateReply>['call']): Operation<CreateReply> {
  return {
    call,
    encode(reply, value) {
      reply.bodySize = putCreate(reply.bytes, BODY, value)
    },
    created: (value): LostState => ({ nodeids: [value.entry.nodeid], fh: value.open.fh }),
  }
}

function copyFileRange(
  put: (buffer: Buffer, at: number, size: number) => number,
): Operation<{ size: number }> {
  return {
    call(fs, request, body) {
      if (fs.copyFileRange === undefined) return NOT_IMPLEMENTED
      const value = body.decode(s.copyFileRangeIn)
      return fs.copyFileRange(request, {
        fhIn: value.fh_in,
        offIn: value.off_in,
        nodeidOut: value.nodeid_out,
        fhOut: value.fh_out,
        offOut: value.off_out,
        length: value.len,
        flags: value.flags,
      })
    },
    encode(reply, value) {
      reply.bodySize = put(reply.bytes, BODY, value.size)
    },
  }
}

/** FSYNC and FSYNCDIR. @returns what the handler is given. */
export function decodeFsync(body: RequestBody): { fh: number; dataOnly: boolean } {
  const { fh, fsync_flags } = body.decode(s.fsyncIn)
  return { fh, dataOnly: (fsync_flags & FSYNC_FLAGS.FUSE_FSYNC_FDATASYNC) !== 0 }
}

function encodeData(reply: ReplyBuffer, value: Uint8Array, request: Request): void {
  assert(
    value.length <= request.sizeMax,
    `${value.length} bytes answered where ${request.sizeMax} were asked for`,
  )
  reply.data = value
}

export const FILE_OPERATIONS = {
  OPEN: openOperation((fs, request, body) => {
    const { flags, open_flags } = body.decode(s.openIn)
    return fs.open?.(request, flags, open_flags) ?? NOT_IMPLEMENTED
  }),
  CREATE: createOperation((fs, request, body) => {
    const { flags, mode, umask, open_flags } = body.decode(s.createIn)
    return fs.create?.(request, body.lastNameZ(), flags, mode, umask, open_flags) ?? NOT_IMPLEMENTED
  }),
  TMPFILE: createOperation((fs, request, body) => {
    const { flags, mode, umask } = body.decode(s.createIn)
    // The kernel names the nameless file "/" (vfs_tmpfile), which means nothing to a file system.
    body.lastNameZ()
    return fs.tmpfile?.(request, flags, mode, umask) ?? NOT_IMPLEMENTED
  }),
  READ: operation<Uint8Array>({
    call(fs, request, body) {
      const { fh, offset, size, flags } = body.decode(s.readIn)
      request.sizeMax = size
      return fs.read?.(request, fh, offset, size, flags) ?? NOT_IMPLEMENTED
    },
    encode: encodeData,
  }),
  WRITE: operation<{ size: number }>({
    call(fs, request, body) {
      const { fh, offset, size, flags, write_flags } = body.decode(s.writeIn)
      request.sizeMax = size
      return fs.write?.(request, fh, offset, body.data(size), flags, write_flags) ?? NOT_IMPLEMENTED
    },
    encode(reply, value, request) {
      assert(value.size <= request.sizeMax, 'more bytes written than were given')
      reply.bodySize = putPadded32(reply.bytes, BODY, value.size)
    },
  }),
  FLUSH: emptyOperation((fs, request, body) => {
    const { fh, lock_owner } = body.decode(s.flushIn)
    return fs.flush?.(request, fh, lock_owner) ?? NOT_IMPLEMENTED
  }),
  RELEASE: emptyOperation((fs, request, body) => {
    const { fh, flags, release_flags, lock_owner } = body.decode(s.releaseIn)
    return fs.release?.(request, fh, flags, release_flags, lock_owner) ?? NOT_IMPLEMENTED
  }),
  FSYNC: emptyOperation((fs, request, body) => {
    const { fh, dataOnly } = decodeFsync(body)
    return fs.fsync?.(request, fh, dataOnly) ?? NOT_IMPLEMENTED
  }),
  FALLOCATE: emptyOperation((fs, request, body) => {
    const { fh, offset, length, mode } = body.decode(s.fallocateIn)
    return fs.fallocate?.(request, fh, offset, length, mode) ?? NOT_IMPLEMENTED
  }),
  LSEEK: operation<{ offset: number }>({
    call(fs, request, body) {
      const { fh, offset, whence } = body.decode(s.lseekIn)
      return fs.lseek?.(request, fh, offset, whence) ?? NOT_IMPLEMENTED
    },
    encode(reply, value) {
      reply.bodySize = put64(reply.bytes, BODY, value.offset)
    },
  }),
  COPY_FILE_RANGE: copyFileRange(putPadded32),
  COPY_FILE_RANGE_64: copyFileRange(put64),
}
