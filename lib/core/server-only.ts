import { VKitConfigError } from './errors.js'

/** The error of the client in a browser, and of the file that bundlers use instead of the client. */
export function browserRefusal(): VKitConfigError {
  return new VKitConfigError(
    'VKitClient runs in Node.js, on your server. In a browser the app secret would be public; edge runtimes lack what it needs.',
  )
}

/** jsdom has a window too, but it runs on Node. */
export function refuseBrowser(): void {
  const inNode = typeof process === 'object' && typeof process.versions === 'object' && 'node' in process.versions
  if (!inNode && 'window' in globalThis) throw browserRefusal()
}
