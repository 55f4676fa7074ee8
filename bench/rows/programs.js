/** What people run. Nothing is fetched: what is needed is made up on the spot. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { call } from '../machine.js'
import { startAfresh, writeOut } from './files.js'
import { AS_RIVALS, BETTER_THAN_RIVALS, MILLISECONDS, own, SECONDS, timed } from './row.js'

/** @typedef {import('./row.js').Row} Row */
/** @typedef {import('./row.js').Scale} Scale */
/** @typedef {import('../world.js').World} World */
/** @typedef {import('../world.js').Target} Target */

const FILES_PER_DIRECTORY = 100
const FILES_PER_PACKAGE = 25
const LINES_PER_SOURCE = 20

/** @param {World} world */
const objects = (world) => path.join(world.scratch, 'repository.git')

/** Two commits: one without files and one with all of them. @param {number} count */
function history(count) {
  const author = 'committer Holdfast <bench@example.invalid> 1700000000 +0000'
  const text = ['reset refs/heads/empty', 'commit refs/heads/empty', author, 'data 0', '']
  text.push('commit refs/heads/full', author, 'data 0', 'from refs/heads/empty')
  for (let index = 0; index < count; index++) {
    const content = `file ${index}\n`.repeat(20 + (index % 50))
    const name = `directory-${Math.floor(index / FILES_PER_DIRECTORY)}/file-${index}.txt`
    text.push(`M 100644 inline ${name}`, `data ${content.length}`, content)
  }
  return `${text.join('\n')}\n`
}

/** @param {World} world @param {string} _backing @param {Scale} scale */
function prepareObjects(world, _backing, scale) {
  rmSync(objects(world), { recursive: true, force: true })
  call('git', ['init', '-q', '--bare', '-b', 'empty', objects(world)])
  call('git', ['-C', objects(world), 'fast-import', '--quiet'], { input: history(scale.repositoryCount) })
}

/** The objects stay in memory; the index and what is checked out are the target's. @param {World} world @param {string} directory */
function prepareRepository(world, directory) {
  call('git', ['clone', '-q', '--shared', objects(world), path.join(directory, 'repository')])
}

/** @param {Target} target @param {...string} args */
const git = (target, ...args) => ['git', '-C', own(target, 'repository'), ...args]

/** @param {Scale} scale */
const repositoryCount = (scale) => scale.repositoryCount

/** @type {Row} */
const GIT = {
  ...MILLISECONDS,
  isSlow: true,
  isLong: true,
  prepare: prepareObjects,
  prepareOwn: prepareRepository,
  phases: [
    {
      name: 'git checkout',
      how: '20,000 files of 0.2 to 1 KB where none were, objects in memory',
      goal: BETTER_THAN_RIVALS,
      before: (world, target) => {
        call('git', git(target, 'checkout', '-q', 'empty').slice(1))
        writeOut(world)
      },
      measure: (world, target) => timed(world, ...git(target, 'checkout', '-q', 'full')),
      operations: repositoryCount,
      per: 'file',
    },
    {
      name: 'git status, first',
      how: 'after sync and drop_caches of names and inodes',
      goal: BETTER_THAN_RIVALS,
      before: startAfresh,
      measure: (world, target) => timed(world, ...git(target, 'status', '--porcelain')),
      operations: repositoryCount,
      per: 'file',
    },
    {
      name: 'git status, again',
      how: 'right behind it',
      goal: BETTER_THAN_RIVALS,
      measure: (world, target) => timed(world, ...git(target, 'status', '--porcelain')),
      operations: repositoryCount,
      per: 'file',
    },
  ],
}

/** @param {World} world */
const npmOptions = (world) => [
  '--offline',
  '--ignore-scripts',
  '--no-audit',
  '--no-fund',
  '--no-update-notifier',
  '--loglevel=error',
  `--cache=${path.join(world.scratch, 'npm-cache')}`,
]

/** Packed packages, and a project that needs all of them. @param {World} world @param {string} _backing @param {Scale} scale */
function prepareProject(world, _backing, { packageCount }) {
  const project = path.join(world.scratch, 'project')
  rmSync(project, { recursive: true, force: true })
  mkdirSync(path.join(project, 'packages'), { recursive: true })
  /** @type {Record<string, string>} */
  const dependencies = {}
  for (let index = 0; index < packageCount; index++) {
    const name = `package-${index}`
    const staged = path.join(world.scratch, 'staged')
    mkdirSync(path.join(staged, 'package', 'lib'), { recursive: true })
    writeFileSync(path.join(staged, 'package', 'package.json'), JSON.stringify({ name, version: '1.0.0' }))
    for (let file = 1; file < FILES_PER_PACKAGE; file++) {
      const content = `exports.value = ${index * file}\n`.repeat(10 + 5 * file)
      writeFileSync(path.join(staged, 'package', 'lib', `module-${file}.js`), content)
    }
    const archive = path.join('packages', `${name}.tgz`)
    call('tar', ['-C', staged, '-czf', path.join(project, archive), 'package'])
    rmSync(staged, { recursive: true })
    dependencies[name] = `file:${archive}`
  }
  const description = { name: 'project', version: '1.0.0', private: true, dependencies }
  writeFileSync(path.join(project, 'package.json'), JSON.stringify(description))
  // Once for the lock file, once for whatever npm keeps in its cache.
  call('npm', ['install', '--package-lock-only', ...npmOptions(world)], { cwd: project })
  call('npm', ['ci', ...npmOptions(world)], { cwd: project })
  rmSync(path.join(project, 'node_modules'), { recursive: true })
}

/** @type {Row} */
const NPM = {
  ...SECONDS,
  isSlow: true,
  isLong: true,
  prepare: prepareProject,
  prepareOwn: (world, directory) => {
    call('cp', ['-a', path.join(world.scratch, 'project'), directory])
  },
  phases: [
    {
      name: 'npm ci',
      how: '100 packed packages of 25 files each, made up and given as file: dependencies; offline',
      goal: AS_RIVALS,
      before: (world, target) => {
        rmSync(own(target, 'project/node_modules'), { recursive: true, force: true })
        writeOut(world)
      },
      measure: (world, target) =>
        timed(world, 'npm', 'ci', '--prefix', own(target, 'project'), ...npmOptions(world)),
      operations: (scale) => scale.packageCount * FILES_PER_PACKAGE,
      per: 'file',
    },
  ],
}

/** @param {World} world @param {string} directory @param {Scale} scale */
function prepareSources(world, directory, { sourceCount }) {
  const project = path.join(directory, 'c-project')
  mkdirSync(project)
  const names = Array.from({ length: sourceCount }, (_, index) => `part-${index}`)
  for (const [index, name] of names.entries()) {
    const lines = Array.from(
      { length: LINES_PER_SOURCE },
      (_, line) => `int f${index}_${line}(int x) { return printf("%d", x + ${line}) + f(x); }`,
    )
    writeFileSync(path.join(project, `${name}.c`), `#include "all.h"\n${lines.join('\n')}\n`)
  }
  writeFileSync(path.join(project, 'all.h'), '#include <stdio.h>\n#include <stdlib.h>\nint f(int);\n')
  writeFileSync(path.join(project, 'main.c'), '#include "all.h"\nint f(int x) { return x; }\nint main() {}\n')
  const compiled = [...names, 'main'].map((name) => `${name}.o`).join(' ')
  const rules = `program: ${compiled}\n\tcc -o $@ $^\n%.o: %.c all.h\n\tcc -c -o $@ $<\nclean:\n\trm -f program *.o\n`
  writeFileSync(path.join(project, 'Makefile'), rules)
  writeOut(world)
}

/** @type {Row} */
const COMPILE = {
  ...SECONDS,
  isSlow: true,
  isLong: true,
  prepareOwn: prepareSources,
  phases: [
    {
      name: 'compile',
      how: 'make of 100 C files of 20 functions with gcc, as many jobs as processors',
      goal: AS_RIVALS,
      before: (world, target) => {
        call('make', ['-s', '-C', own(target, 'c-project'), 'clean'])
        writeOut(world)
      },
      measure: (world, target) =>
        timed(world, 'make', '-s', `-j${availableParallelism()}`, '-C', own(target, 'c-project')),
      operations: (scale) => scale.sourceCount,
      per: 'file',
    },
  ],
}

export const PROGRAMS = [GIT, NPM, COMPILE]
