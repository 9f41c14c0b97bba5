#!/usr/bin/env node
import { run } from './run.js'
import { watchOutput } from './terminal.js'

const output = watchOutput()
const exitCode = await run(process.argv.slice(2))
await Promise.all([process.stdout, process.stderr].map(async stream => new Promise(done => stream.write('', done))))
// Not `process.exitCode`: a list that stays open, or a store of the user's, would keep the process alive.
process.exit(output.exitCode ?? exitCode)
