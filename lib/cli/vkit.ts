#!/usr/bin/env node
import { endProcess } from './interruption.js'
import { run } from './run.js'
import { watchOutput } from './terminal.js'

const output = watchOutput()
const exitCode = await run(process.argv.slice(2))
await Promise.all([process.stdout, process.stderr].map(async stream => new Promise(done => stream.write('', done))))
// An open list or the user's store would keep the process alive, so `process.exitCode` is not enough.
await endProcess(output.exitCode ?? exitCode, 1_000)
