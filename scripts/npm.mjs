import { execFile } from 'node:child_process'

/** How to start npm: with the file that `npm run` names, because Windows cannot start npm without a shell. */
export function npmCommand(args) {
  if (!process.env.npm_execpath) throw new Error('Run this with npm run.')
  return [process.execPath, [process.env.npm_execpath, ...args]]
}

/** Runs npm. Never rejects, because some commands print a result and exit with an error. */
export function npm(args, options) {
  const [command, all] = npmCommand(args)
  return new Promise(done => {
    execFile(command, all, { maxBuffer: 2 ** 26, ...options }, (failed, output) => done({ failed, output }))
  })
}
