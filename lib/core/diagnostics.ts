export { channel, tracingChannel, type Channel, type TracingChannel } from 'node:diagnostics_channel'
