import { execFile } from 'node:child_process'

/** Runs npm with the file that `npm run` names, because Windows cannot start npm without a shell. */
export function npm(args, options) {
  if (!process.env.npm_execpath) throw new Error('Run this with npm run.')
  return new Promise(done => {
    execFile(
      process.execPath,
      [process.env.npm_execpath, ...args],
      { maxBuffer: 2 ** 26, ...options },
      (failed, output) => done({ failed, output }),
    )
  })
}
