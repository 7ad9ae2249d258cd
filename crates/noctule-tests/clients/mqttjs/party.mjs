// One MQTT party over MQTT.js. Every script of this folder is called with HOST PORT VERSION
// (3.1, 3.1.1 or 5) and asserts what it sees. With NOCTULE_TEST_WEBSOCKET set it goes through a
// WebSocket, with NOCTULE_TEST_CA through TLS.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import mqtt from 'mqtt'

const [host, port, version] = process.argv.slice(2)
const protocol = {
  '3.1': { protocolVersion: 3, protocolId: 'MQIsdp' },
  '3.1.1': { protocolVersion: 4 },
  5: { protocolVersion: 5 },
}[version]
const { NOCTULE_TEST_WEBSOCKET: webSocket, NOCTULE_TEST_CA: ca } = process.env
const transport = {
  protocol: webSocket ? (ca ? 'wss' : 'ws') : (ca ? 'mqtts' : 'mqtt'),
  ...(ca ? { ca: readFileSync(ca) } : {}),
}
const run = Math.random().toString(36).slice(2, 8)

export const v5 = version === '5'
// MQTT 3.1 has no flag that says whether a session was present.
export const saysPresent = version !== '3.1'
export const root = `mqttjs/${run}`

// Every wait ends: a broker that does not answer fails the test instead of hanging it.
const patience = 20_000
// Long enough that a message which must not come would have come.
const quiet = 400

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

export function inTime(promise, what) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited for ${what} in vain`)), patience)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

export class Party {
  // A connected client; what it receives waits in `messages`.
  static async connect(name, options = {}) {
    const party = new Party()
    party.name = name
    party.messages = []
    party.errors = []
    party.arrived = () => {}
    party.client = mqtt.connect({
      host,
      port: Number(port),
      clientId: name ? name + run : '',
      reconnectPeriod: 0,
      connectTimeout: patience,
      ...transport,
      ...protocol,
      ...options,
    })
    party.client.on('message', (topic, payload, packet) => {
      party.messages.push({ topic, text: payload.toString(), payload, ...pick(packet) })
      party.arrived()
    })
    party.client.on('error', (error) => party.errors.push(error))
    party.closed = new Promise((resolve) => { party.client.once('close', resolve) })
    const [connack] = await inTime(once(party.client, 'connect'), `the CONNACK of ${name}`)
    party.connack = connack
    return party
  }

  // A session that outlives its connection.
  static keep(name, options = {}) {
    const properties = { sessionExpiryInterval: 300, ...options.properties }
    return Party.connect(name, { clean: false, ...options, ...(v5 ? { properties } : {}) })
  }

  async subscribe(what, options) {
    const granted = await inTime(this.client.subscribeAsync(what, options), 'a SUBACK')
    return granted.map((each) => each.qos)
  }

  unsubscribe(what) {
    return inTime(this.client.unsubscribeAsync(what), 'an UNSUBACK')
  }

  // Ends when the hand-shake of the QoS is complete.
  publish(topic, payload, options) {
    return inTime(this.client.publishAsync(topic, payload, options), `the end of ${topic}`)
  }

  // Publishes them all with as many in flight as the broker takes (MQTT.js does not count).
  async publishAll(topic, texts, options) {
    const window = this.connack.properties?.receiveMaximum ?? texts.length
    for (let n = 0; n < texts.length; n += window) {
      const some = texts.slice(n, n + window)
      await Promise.all(some.map((text) => this.publish(topic, text, options)))
    }
  }

  // Receives without an answer from now on: no PUBACK leaves.
  neverAcknowledge() {
    this.client.handleMessage = () => {}
  }

  async next() {
    if (this.messages.length === 0) {
      const arrival = new Promise((resolve) => { this.arrived = resolve })
      await inTime(arrival, `a message for ${this.name}`)
    }
    assert.deepEqual(this.errors, [])
    return this.messages.shift()
  }

  // The next messages, which must carry exactly these payloads in this order.
  async expect(...texts) {
    const got = []
    while (got.length < texts.length) got.push(await this.next())
    assert.deepEqual(got.map((message) => message.text), texts)
    return got
  }

  async drain() {
    const got = []
    do {
      await pause(quiet)
      got.push(...this.messages.splice(0))
    } while (this.messages.length > 0)
    return got
  }

  async expectNothing() {
    assert.deepEqual(await this.drain(), [])
  }

  // Ends as a client should: with DISCONNECT.
  async leave() {
    await inTime(this.client.endAsync(), 'the end of the connection')
    assert.deepEqual(this.errors, [])
  }

  // Ends as a crash does: the connection closes and no DISCONNECT was sent.
  async die() {
    this.client.stream.destroy()
    await inTime(this.closed, 'the end of the connection')
    await this.client.endAsync(true)
  }
}

function pick({ qos, retain, dup, properties }) {
  return { qos, retain, dup, properties: properties ?? {} }
}

// Runs every case, names it, and says at the end which failed.
export async function runCases(cases) {
  const failed = []
  for (const [name, check] of Object.entries(cases)) {
    console.log(`${name} (MQTT ${version})`)
    try {
      await check()
    } catch (error) {
      console.log(error)
      failed.push(name)
    }
  }
  if (failed.length > 0) console.log(`FAILED: ${failed.join(', ')}`)
  process.exit(failed.length > 0 ? 1 : 0)
}
