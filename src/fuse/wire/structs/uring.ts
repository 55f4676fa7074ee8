/** FUSE over io_uring (7.42). Declared so that the table of structs is complete; sessions do not offer it. */
import { big64, pad32, pad64, u16, u32, unused } from '../fields.js'
import { struct } from '../struct.js'

export const uringEntInOut = struct('fuse_uring_ent_in_out', 32, {
  flags: big64,
  commit_id: big64,
  payload_sz: u32,
  padding: pad32,
  reserved: pad64,
})
/** `in_out` and `op_in` are room for the headers and structs above. */
export const uringReqHeader = struct('fuse_uring_req_header', 288, {
  in_out: unused(1, 128),
  op_in: unused(1, 128),
  ring_ent_in_out: uringEntInOut,
})
export const uringCmdReq = struct('fuse_uring_cmd_req', 24, {
  flags: big64,
  commit_id: big64,
  qid: u16,
  padding: unused(1, 6),
})
