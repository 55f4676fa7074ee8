/**
 * Signals with the value they were sent with, for a program that blocks in system calls.
 *
 * Node tells of a signal in its event loop, which such a program never reaches, and without its value. So here
 * the handler is a few instructions of our own: it writes signal, code and value into a ring. It is installed
 * without SA_RESTART, so that a signal also interrupts what the program waits in.
 */
import koffi from 'koffi'
import { check } from './error.js'
import * as raw from './raw.js'

export interface SignalSeen {
  readonly signo: number
  /** SI_QUEUE (-1) for one with a value; 0 for kill(2). */
  readonly code: number
  readonly value: number
}

/**
 * handler(int signo, siginfo_t *info, void *): adds an entry to the ring that begins 4096 bytes behind the
 * handler's own first byte. The ring: how many there were, as u32; from byte 16 on 256 entries of 16 bytes.
 */
const HANDLERS = {
  x64: [
    [0xf3, 0x0f, 0x1e, 0xfa], // endbr64
    [0x48, 0x8d, 0x05, 0xf5, 0x0f, 0x00, 0x00], // lea rax, [rip + 4085]
    [0xb9, 0x01, 0x00, 0x00, 0x00], // mov ecx, 1
    [0xf0, 0x0f, 0xc1, 0x08], // lock xadd [rax], ecx
    [0x81, 0xe1, 0xff, 0x00, 0x00, 0x00], // and ecx, 255
    [0xc1, 0xe1, 0x04], // shl ecx, 4
    [0x44, 0x8b, 0x46, 0x08], // mov r8d, [rsi + 8]: si_code
    [0x44, 0x8b, 0x4e, 0x18], // mov r9d, [rsi + 24]: si_value
    [0x89, 0x7c, 0x08, 0x10], // mov [rax + rcx + 16], edi
    [0x44, 0x89, 0x44, 0x08, 0x14], // mov [rax + rcx + 20], r8d
    [0x44, 0x89, 0x4c, 0x08, 0x18], // mov [rax + rcx + 24], r9d
    [0xc3], // ret
  ],
  arm64: [
    [0x5f, 0x24, 0x03, 0xd5], // bti c
    [0xe3, 0x7f, 0x00, 0x10], // adr x3, #4092
    [0x64, 0x00, 0x40, 0xb9], // ldr w4, [x3]
    [0x85, 0x04, 0x00, 0x11], // add w5, w4, #1
    [0x65, 0x00, 0x00, 0xb9], // str w5, [x3]
    [0x84, 0x1c, 0x00, 0x12], // and w4, w4, #255
    [0x63, 0x50, 0x24, 0x8b], // add x3, x3, w4, uxtw #4
    [0x26, 0x08, 0x40, 0xb9], // ldr w6, [x1, #8]: si_code
    [0x27, 0x18, 0x40, 0xb9], // ldr w7, [x1, #24]: si_value
    [0x60, 0x10, 0x00, 0xb9], // str w0, [x3, #16]
    [0x66, 0x14, 0x00, 0xb9], // str w6, [x3, #20]
    [0x67, 0x18, 0x00, 0xb9], // str w7, [x3, #24]
    [0xc0, 0x03, 0x5f, 0xd6], // ret
  ],
}

const PROT_READ = 1
const PROT_WRITE = 2
const PROT_EXEC = 4
const MAP_PRIVATE_ANONYMOUS = 0x22
const SA_SIGINFO = 4
/** glibc's struct sigaction: handler, mask of 128 bytes, flags, restorer. */
const SIGACTION_BYTES = 152
const FLAGS_OFFSET = 136

/** The largest page there is: code and ring must not share one. */
const PAGE_BYTES = 65_536
const HANDLER_OFFSET = PAGE_BYTES - 4096
const RING_ENTRIES = 256

export class SignalLog {
  readonly #ring: DataView
  #taken = 0

  /** From now on these signals are caught, in this process and in those it forks. */
  constructor(signals: readonly number[]) {
    const code = HANDLERS[process.arch === 'arm64' ? 'arm64' : 'x64'].flat()
    const bytes = 2 * PAGE_BYTES
    const access = PROT_READ | PROT_WRITE
    const address = check(raw.mmap(null, bytes, access, MAP_PRIVATE_ANONYMOUS, -1, 0), 'mmap')
    const memory = koffi.view(address, bytes)
    new Uint8Array(memory).set(code, HANDLER_OFFSET)
    check(raw.mprotect(address, PAGE_BYTES, PROT_READ | PROT_EXEC), 'mprotect')
    this.#ring = new DataView(memory, PAGE_BYTES)
    const action = Buffer.alloc(SIGACTION_BYTES)
    action.writeBigUInt64LE(BigInt(address + HANDLER_OFFSET), 0)
    action.writeInt32LE(SA_SIGINFO, FLAGS_OFFSET)
    for (const signo of signals) check(raw.sigaction(signo, action, null), 'sigaction')
  }

  /** Those that came since this was last asked for, in the order they were delivered. */
  take(): SignalSeen[] {
    const seen: SignalSeen[] = []
    const count = this.#ring.getUint32(0, true)
    for (; this.#taken < count; this.#taken++) {
      const at = 16 + (this.#taken % RING_ENTRIES) * 16
      seen.push({
        signo: this.#ring.getInt32(at, true),
        code: this.#ring.getInt32(at + 4, true),
        value: this.#ring.getInt32(at + 8, true),
      })
    }
    return seen
  }
}
