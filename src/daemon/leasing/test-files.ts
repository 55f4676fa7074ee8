/** A lease service over real backing files, without a mount: what the file system would bring is made here. */
import { existsSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { DEFAULT_POLICY, type LeasePolicy } from '../../lease/index.js'
import type { FileId, LeaseId, Ofd, ProcessKey, Uid } from '../../lib/ids.js'
import { WHOLE_FILE } from '../../lib/range.js'
import { O_PATH } from '../../linux/constants.js'
import { open, statFd } from '../../linux/files.js'
import type { FileNode, OpenFile } from '../../passthrough/gate.js'
import { LeaseService, type ProtectedFile } from './lease-service.js'

/** A backing file whose holds are counted. */
export class TestNode implements FileNode {
  readonly nodeid: number
  readonly place: string
  holdCount = 0
  /** Thrown instead of an answer. */
  failure: Error | null = null
  readonly #fd: number

  /** As while a name is being changed through the mount. */
  isMoving = false

  constructor(directory: string, nodeid: number) {
    this.nodeid = nodeid
    this.place = path.join(directory, `file-${nodeid}`)
    writeFileSync(this.place, 'x'.repeat(8192))
    this.#fd = open(this.place, O_PATH)
  }

  ownerUid(): number {
    return statFd(this.backingFd()).uid
  }

  size(): number {
    return statFd(this.backingFd()).size
  }

  hold(): void {
    this.holdCount++
  }

  release(): void {
    this.holdCount--
  }

  path(): Buffer {
    return Buffer.from(path.basename(this.place))
  }

  nameLeads(): 'here' | 'nowhere' | 'moving' {
    if (this.isMoving) return 'moving'
    return existsSync(this.place) ? 'here' : 'nowhere'
  }

  backingFd(): number {
    if (this.failure !== null) throw this.failure
    return this.#fd
  }
}

export class TestFiles {
  readonly bugs: unknown[] = []
  readonly service: LeaseService
  readonly #directory: string
  #nextNodeid = 2

  constructor(directory: string, policy: Partial<LeasePolicy> = {}) {
    this.#directory = directory
    this.service = new LeaseService({ ...DEFAULT_POLICY, ...policy }, (error) => this.bugs.push(error))
  }

  /** A file and one open of it by this process. */
  open(): { node: TestNode; file: ProtectedFile; openFile: OpenFile; ofd: Ofd; id: FileId } {
    const nodeid = this.#nextNodeid++
    const node = new TestNode(this.#directory, nodeid)
    const id = nodeid as FileId
    const file = { id, node, mountpoint: () => Buffer.from(this.#directory) }
    const openFile = { fh: nodeid, node, flags: 0, openedBy: process.pid }
    return { node, file, openFile, ofd: nodeid as Ofd, id }
  }

  /** The key of a process, watched as an owner is. */
  owner(pid: number): ProcessKey {
    const caller = this.service.processes.identify(pid)
    if (caller === null || !this.service.watch(caller.key)) throw new Error(`process ${pid} is gone`)
    return caller.key
  }

  /** A lease on the whole file. */
  lease(file: ProtectedFile, owner: ProcessKey, level: 'normal' | 'exclusive' = 'exclusive'): LeaseId {
    this.service.keep(file)
    const { answer } = this.service.step({
      kind: 'acquire',
      request: this.service.nextRequestId(),
      ofd: Number(file.id) as Ofd,
      file: file.id,
      process: owner,
      user: 0 as Uid,
      range: WHOLE_FILE,
      mode: 'read',
      level,
      mayDelayOthers: true,
      whenBusy: 'fail',
      breakTimeMs: 0,
    })
    if (answer.status !== 'done' || answer.lease === undefined) throw new Error(JSON.stringify(answer))
    return answer.lease
  }
}
