/**
 * One process of a scenario on a mount. It does what the host tells it, one command at a time, synchronously: it
 * really blocks in the system call. Started once for a mount world; every other agent is a fork of it, or of an
 * agent that was told to fork, because that takes a tenth of the time that a new Node does, and because a child in
 * a scenario is to be a child.
 */
import { Errno } from '../../lib/errno.js'
import * as c from '../../linux/constants.js'
import { check } from '../../linux/error.js'
import { open, writeAll } from '../../linux/files.js'
import { execProgram, FORKABLE, forkProcess } from '../../linux/fork.js'
import { bindMailbox, connectStream } from '../../linux/messages.js'
import * as raw from '../../linux/raw.js'
import { SignalLog } from '../../linux/signals.js'
import { CarryOut, type Result } from './carry-out.js'
import { type AgentStart, type Command, hostSocket, LineReader, mailboxOf, type Said } from './protocol.js'

const CAUGHT = [c.SIGUSR1, c.SIGUSR2, c.SIGIO]
const DONE: Result = { errno: 0, value: '' }
const WNOHANG = 1
/** From any process of this world: orphans come to its first agent, which takes in their exits. */
const PR_SET_CHILD_SUBREAPER = 36
const PR_SET_DUMPABLE = 4
const RLIMIT_CORE = 4

class Agent {
  readonly #directory: string
  readonly #signals = new SignalLog(CAUGHT)
  readonly #carryOut: CarryOut
  readonly #buffer = Buffer.alloc(65_536)
  #id: string
  #channel: number
  #lines = new LineReader()

  constructor(start: AgentStart) {
    this.#directory = start.directory
    this.#id = start.id
    this.#channel = start.resumed?.channel ?? connectStream(hostSocket(start.directory))
    this.#carryOut = new CarryOut(start.resumed?.mailbox ?? bindMailbox(mailboxOf(start.directory, start.id)))
  }

  /** Ends with the host. */
  serve(): never {
    this.#hello()
    for (;;) {
      const count = raw.read(this.#channel, this.#buffer, this.#buffer.length)
      if (count === -Errno.EINTR) continue
      if (count <= 0) return leave()
      for (const line of this.#lines.take(this.#buffer.subarray(0, count))) {
        const { errno, value } = this.#do(JSON.parse(line) as Command)
        this.#say({ say: 'answer', errno, value, signals: this.#signals.take() })
      }
    }
  }

  #say(message: Said): void {
    writeAll(this.#channel, Buffer.from(`${JSON.stringify(message)}\n`))
  }

  #hello(): void {
    this.#say({ say: 'hello', id: this.#id, pid: raw.getpid() })
  }

  #do(command: Command): Result {
    switch (command.do) {
      case 'nothing':
        return DONE
      case 'exit':
        return leave()
      case 'fork':
        return this.#fork(command.id, command.apart)
      case 'become':
        return become(command.uid)
      case 'exec':
        return this.#exec()
      case 'tell':
        return this.#tell(command.path)
      case 'reap':
        while (raw.waitpid(-1, null, WNOHANG) > 0);
        return DONE
      default:
        return this.#carryOut.run(command)
    }
  }

  #fork(id: string, apart: { uid: number } | undefined): Result {
    const pid = forkProcess()
    if (pid > 0) return { errno: 0, value: String(pid) }
    raw.close(this.#channel)
    raw.close(this.#carryOut.mailbox)
    this.#carryOut.unmapAll()
    this.#signals.take()
    this.#lines = new LineReader()
    this.#id = id
    this.#channel = connectStream(hostSocket(this.#directory))
    this.#carryOut.mailbox = bindMailbox(mailboxOf(this.#directory, id))
    if (apart !== undefined) {
      check(raw.setsid(), 'setsid')
      if (apart.uid !== 0 && become(apart.uid).errno !== 0) return leave()
    }
    return this.serve()
  }

  #exec(): never {
    const start: AgentStart = {
      directory: this.#directory,
      id: this.#id,
      resumed: { channel: this.#channel, mailbox: this.#carryOut.mailbox },
    }
    const { execPath, argv } = process
    execProgram(
      execPath,
      [execPath, ...FORKABLE, argv[1] ?? '', JSON.stringify(start)],
      ['PATH=/bin:/usr/bin'],
    )
  }

  #tell(path: string): Result {
    const fd = open(path, c.O_RDONLY)
    const lines = new LineReader()
    // The answer says that from here on nothing is missed.
    this.#say({ say: 'answer', ...DONE, signals: [] })
    for (;;) {
      const count = check(raw.read(fd, this.#buffer, this.#buffer.length), 'read', path)
      if (count === 0) return leave()
      for (const line of lines.take(this.#buffer.subarray(0, count))) this.#say({ say: 'told', line })
    }
  }
}

function leave(): never {
  raw.exit(0)
  throw new Error('_exit returned')
}

function become(uid: number): Result {
  for (const returned of [
    raw.setgroups(0, null),
    raw.setresgid(uid, uid, uid),
    raw.setresuid(uid, uid, uid),
    // As a program that was started by this user would be.
    raw.prctl(PR_SET_DUMPABLE, 1),
  ]) {
    if (returned < 0) return { errno: -returned, value: '' }
  }
  return DONE
}

const start = JSON.parse(process.argv[2] ?? '') as AgentStart
if (start.resumed === null) check(raw.prctl(PR_SET_CHILD_SUBREAPER, 1), 'prctl')
// Anybody may send a descriptor to anybody.
raw.umask(0)
// A SIGBUS that a scenario asks for leaves no core file.
check(raw.prlimit(0, RLIMIT_CORE, Buffer.alloc(16), null), 'prlimit')
new Agent(start).serve()
