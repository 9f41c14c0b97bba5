// npm run docs:screenshots
//
// Makes the pictures of docs/guides/emulator.md with the built command, the Express example and Debian's Chromium.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chromium } from 'playwright-core'
import { VKitClient } from '@video-io/videokit-nodejs'

const emulator = start(['dist/cli/vkit.js', 'emulator', '--port', '0', '--page-port', '0'])
const baseUrl = await emulator.find(/VKIT_BASE_URL=(\S+)/)
const appSecret = await emulator.find(/VKIT_APP_SECRET=(\S+)/)
const page = await emulator.find(/steer it: (\S+)/)
const example = start(['examples/start.js'], { VKIT_BASE_URL: baseUrl, VKIT_APP_SECRET: appSecret, PORT: '0' })
const demo = await example.find(/Demo: (\S+)/)

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', chromiumSandbox: false })
try {
  const tab = await browser.newPage({ viewport: { width: 1100, height: 760 } })
  await tab.goto(page)
  await useGateway()
  await tab.screenshot({ path: 'docs/guides/emulator.png' })
  await signInAndEnd()
} finally {
  await browser.close()
  emulator.kill()
  example.kill()
}

/** About half a minute of requests: all well, then failures, then short-lived tokens. */
async function useGateway() {
  const vkit = new VKitClient({ appSecret, baseUrl, cache: false })
  const mint = (name, ...scopes) => vkit.getSessionToken(name, scopes).catch(() => undefined)
  for (let second = 0; second < 30; second++) {
    if (second === 10) await put({ faults: [{ status: 503, share: 0.3 }] })
    if (second === 25) await put({ faults: [{ status: 503, share: 0.3 }], lifetimeMs: 60_000 })
    await Promise.all(Array.from({ length: 1 + (second % 4) }, (_, n) => mint(`user-${n}`, 'videos.read')))
    await new Promise(resolve => setTimeout(resolve, 1000))
  }
  await mint('anna', 'videos.read', 'videos.create')
  await vkit.close()
}

/** One user signs in before the gateway is down, and one afterwards. */
async function signInAndEnd() {
  await put({ lifetimeMs: 60_000 })
  const tab = await browser.newPage({ viewport: { width: 900, height: 620 } })
  await tab.goto(demo)
  await tab.getByRole('button', { name: 'Sign in anna' }).click()
  await tab.getByText('with a valid token').waitFor()
  await put({ faults: [{ reset: true }], lifetimeMs: 60_000 })
  await tab.getByRole('button', { name: 'Sign in bob' }).click()
  await tab.getByText('responded with 503').first().waitFor()
  await tab.screenshot({ path: 'docs/guides/emulator-demo.png' })
}

function put(settings) {
  return fetch(`${page}/_emulator/faults`, { method: 'PUT', body: JSON.stringify(settings) })
}

/** `find` waits until the program has printed what matches, and returns its group. */
function start(args, env) {
  const child = spawn(process.execPath, args, { env: { PATH: process.env.PATH, ...env } })
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', text => (printed += text))
  return {
    kill: () => child.kill(),
    async find(pattern) {
      while (!new RegExp(`${pattern.source}\\n`).test(printed)) {
        await Promise.race([once(child.stdout, 'data'), once(child.stderr, 'data')])
      }
      return pattern.exec(printed)[1]
    },
  }
}
