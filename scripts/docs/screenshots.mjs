// npm run docs:screenshots
//
// Makes the pictures of docs/guides/emulator.md with the built command and the Chromium on PATH.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chromium } from 'playwright-core'
import { VKitClient } from '@video-io/videokit-nodejs'

const emulator = spawn(process.execPath, ['dist/cli/vkit.js', 'emulator', '--port', '0', '--page-port', '0'], {
  env: { PATH: process.env.PATH },
})
let printed = ''
for (const stream of [emulator.stdout, emulator.stderr]) stream.on('data', text => (printed += text))
// The two streams come in any order.
while (!/VKIT_APP_SECRET[^]*Ctrl-C|Ctrl-C[^]*VKIT_APP_SECRET/.test(printed)) {
  await Promise.race([once(emulator.stdout, 'data'), once(emulator.stderr, 'data')])
}
const [, baseUrl] = /VKIT_BASE_URL=(\S+)/.exec(printed)
const [, appSecret] = /VKIT_APP_SECRET=(\S+)/.exec(printed)
const [, page] = /steer it: (\S+)/.exec(printed)

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', chromiumSandbox: false })
try {
  const tab = await browser.newPage({ viewport: { width: 1100, height: 760 } })
  await tab.goto(page)
  await useGateway()
  await tab.screenshot({ path: 'docs/guides/emulator.png' })
} finally {
  await browser.close()
  emulator.kill()
}

/** About half a minute of requests: all well, then failures, then short-lived tokens. */
async function useGateway() {
  const vkit = new VKitClient({ appSecret, baseUrl, cache: false })
  const mint = (name, ...scopes) => vkit.getSessionToken(name, scopes).catch(() => undefined)
  const put = settings => fetch(`${page}/_emulator/faults`, { method: 'PUT', body: JSON.stringify(settings) })
  for (let second = 0; second < 30; second++) {
    if (second === 10) await put({ faults: [{ status: 503, share: 0.3 }] })
    if (second === 25) await put({ faults: [{ status: 503, share: 0.3 }], lifetimeMs: 60_000 })
    await Promise.all(Array.from({ length: 1 + (second % 4) }, (_, n) => mint(`user-${n}`, 'videos.read')))
    await new Promise(resolve => setTimeout(resolve, 1000))
  }
  await mint('anna', 'videos.read', 'videos.create')
  await vkit.close()
}
