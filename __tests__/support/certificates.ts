import forge from 'node-forge'
import { generateKeyPairSync, randomBytes } from 'node:crypto'

export interface Certificate {
  /** PEM. */
  readonly key: string
  readonly cert: string
}

export interface CertificateOptions {
  /** Host names and addresses that it is valid for. Default: `127.0.0.1` and `localhost`. */
  readonly hosts?: readonly string[]
  /** Default: from an hour ago to an hour from now. */
  readonly notBefore?: Date
  readonly notAfter?: Date
}

const HOUR_MS = 3_600_000
const DNS_NAME = 2
const IP_ADDRESS = 7

/** Creates a self-signed certificate. A client trusts it with the option `ca`. */
export function makeCertificate(options: CertificateOptions = {}): Certificate {
  const { hosts = ['127.0.0.1', 'localhost'], notBefore = fromNow(-HOUR_MS), notAfter = fromNow(HOUR_MS) } = options
  // Node generates the keys, because forge takes a second for it.
  const { publicKey, privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  const certificate = forge.pki.createCertificate()
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKey)
  certificate.serialNumber = `01${randomBytes(8).toString('hex')}`
  certificate.validity = { notBefore, notAfter }
  const name = [{ name: 'commonName', value: 'videokit test' }]
  certificate.setSubject(name)
  certificate.setIssuer(name)
  certificate.setExtensions([
    { name: 'basicConstraints', cA: true },
    { name: 'subjectAltName', altNames: hosts.map(altName) },
  ])
  certificate.sign(forge.pki.privateKeyFromPem(privateKey), forge.md.sha256.create())
  return { key: privateKey, cert: forge.pki.certificateToPem(certificate) }
}

function altName(host: string): { type: number; value?: string; ip?: string } {
  return /^[\d.]+$/.test(host) ? { type: IP_ADDRESS, ip: host } : { type: DNS_NAME, value: host }
}

function fromNow(ms: number): Date {
  return new Date(Date.now() + ms)
}
