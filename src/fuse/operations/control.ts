/** Operations that move no file data: ioctl, poll, locks, and those of the session itself. */
import { assert } from '../../lib/assert.js'
import { type FileLock, type IoctlReply, type LockArgs, OK } from '../api.js'
import type { RequestBody } from '../body.js'
import { put64, putLock, putPadded32 } from '../encode-body.js'
import { BODY } from '../reply-buffer.js'
import * as s from '../wire/structs.js'
import { emptyOperation, type InitReply, NOT_IMPLEMENTED, operation } from './operation.js'

function decodeLock(body: RequestBody): LockArgs {
  const { fh, owner, lk, lk_flags } = body.decode(s.lkIn)
  return { fh, owner, lock: lk, flags: lk_flags }
}

export const CONTROL_OPERATIONS = {
  INIT: operation<InitReply>({
    call: (_fs, _request, body, context) => context.initialize(body),
    encode(reply, value) {
      reply.data = value.bytes
    },
  }),
  DESTROY: emptyOperation((fs) => {
    fs.destroy?.()
    return OK
  }),
  IOCTL: operation<IoctlReply>({
    call(fs, request, body) {
      const { fh, flags, cmd, arg, in_size, out_size } = body.decode(s.ioctlIn)
      request.sizeMax = out_size
      const input = body.data(in_size)
      return fs.ioctl?.(request, { fh, flags, cmd, arg, input, outSize: out_size }) ?? NOT_IMPLEMENTED
    },
    encode(reply, value, request) {
      assert(value.output.length <= request.sizeMax, 'more ioctl output than the caller has room for')
      s.ioctlOut.write(reply.bytes, BODY, { result: value.result, flags: 0, in_iovs: 0, out_iovs: 0 })
      reply.bodySize = s.ioctlOut.size
      reply.data = value.output
    },
  }),
  POLL: operation<{ revents: number }>({
    call(fs, request, body) {
      return fs.poll?.(request, body.decode(s.pollIn)) ?? NOT_IMPLEMENTED
    },
    encode(reply, value) {
      reply.bodySize = putPadded32(reply.bytes, BODY, value.revents)
    },
  }),
  GETLK: operation<FileLock>({
    call: (fs, request, body) => fs.getlk?.(request, decodeLock(body)) ?? NOT_IMPLEMENTED,
    encode(reply, value) {
      reply.bodySize = putLock(reply.bytes, BODY, value)
    },
  }),
  SETLK: emptyOperation(
    (fs, request, body) => fs.setlk?.(request, decodeLock(body), false) ?? NOT_IMPLEMENTED,
  ),
  SETLKW: emptyOperation(
    (fs, request, body) => fs.setlk?.(request, decodeLock(body), true) ?? NOT_IMPLEMENTED,
  ),
  BMAP: operation<{ block: number }>({
    call(fs, request, body) {
      const { block, blocksize } = body.decode(s.bmapIn)
      return fs.bmap?.(request, block, blocksize) ?? NOT_IMPLEMENTED
    },
    encode(reply, value) {
      reply.bodySize = put64(reply.bytes, BODY, value.block)
    },
  }),
  // DAX windows exist only with virtiofs, which does not speak through /dev/fuse.
  SETUPMAPPING: emptyOperation(() => NOT_IMPLEMENTED),
  REMOVEMAPPING: emptyOperation(() => NOT_IMPLEMENTED),
}
