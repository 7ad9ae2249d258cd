// What holds in every version of MQTT: round trips, retained messages, wills, sessions.
import assert from 'node:assert/strict'
import { Party, pause, root, runCases, saysPresent } from './party.mjs'

// MQTT.js pings after as much silence, and the broker waits half as long again: with two seconds a
// busy machine has one to spare.
const keepAliveSeconds = 2
const numbers = (count) => Array.from({ length: count }, (_, n) => String(n))

await runCases({
  async 'every QoS arrives at the lower of both'() {
    const publisher = await Party.connect('rt-pub')
    for (const granted of [0, 1, 2]) {
      const subscriber = await Party.connect(`rt-sub${granted}`)
      const topic = `${root}/qos/${granted}`
      assert.deepEqual(await subscriber.subscribe(topic, { qos: granted }), [granted])
      for (const qos of [0, 1, 2]) {
        await publisher.publish(topic, `at ${qos}`, { qos })
        const [message] = await subscriber.expect(`at ${qos}`)
        assert.equal(message.topic, topic)
        assert.equal(message.qos, Math.min(qos, granted))
        assert.equal(message.retain, false)
      }
      await subscriber.leave()
    }
    await publisher.leave()
  },

  async 'many messages keep their order'() {
    const publisher = await Party.connect('order-pub')
    const subscriber = await Party.connect('order-sub')
    for (const qos of [0, 1, 2]) {
      await subscriber.subscribe(`${root}/order/${qos}`, { qos })
      const sent = numbers(500)
      await publisher.publishAll(`${root}/order/${qos}`, sent, { qos })
      await subscriber.expect(...sent)
    }
    await publisher.leave()
    await subscriber.leave()
  },

  async 'payloads arrive to the last byte'() {
    const party = await Party.connect('bytes')
    await party.subscribe(`${root}/bytes`, { qos: 2 })
    for (const size of [0, 1, 127, 128, 16_384, 300_000]) {
      const payload = Buffer.from(Array.from({ length: size }, (_, n) => n % 256))
      for (const qos of [0, 1, 2]) {
        await party.publish(`${root}/bytes`, payload, { qos })
        assert.ok((await party.next()).payload.equals(payload), `${size} bytes at ${qos}`)
      }
    }
    await party.leave()
  },

  async 'wildcards choose and unsubscribed means silent'() {
    const party = await Party.connect('wild')
    await party.subscribe([`${root}/w/+/t`, `${root}/w/all/#`], { qos: 1 })
    for (const topic of ['w/a/t', 'w/a/b/t', 'w/all', 'w/all/a/b', 'w/b/t']) {
      await party.publish(`${root}/${topic}`, topic, { qos: 1 })
    }
    await party.expect('w/a/t', 'w/all', 'w/all/a/b', 'w/b/t')
    await party.unsubscribe(`${root}/w/+/t`)
    await party.publish(`${root}/w/a/t`, 'unheard', { qos: 1 })
    await party.publish(`${root}/w/all/x`, 'heard', { qos: 1 })
    await party.expect('heard')
    await party.expectNothing()
    await party.leave()
  },

  async 'a retained value is set, read late and cleared'() {
    const publisher = await Party.connect('re-pub')
    for (const qos of [0, 1, 2]) {
      const topic = `${root}/retained/${qos}`
      const witness = await Party.connect('re-witness')
      await witness.subscribe(topic, { qos: 2 })
      await publisher.publish(topic, 'first', { qos, retain: true })
      await publisher.publish(topic, 'last', { qos, retain: true })
      const seen = await witness.expect('first', 'last')
      assert.deepEqual(seen.map(({ retain }) => retain), [false, false])
      const late = await Party.connect('re-late')
      await late.subscribe(topic, { qos: 2 })
      const [message] = await late.expect('last')
      assert.deepEqual([message.qos, message.retain], [qos, true])
      await publisher.publish(topic, '', { qos, retain: true })
      await late.expect('')
      await witness.expect('')
      const later = await Party.connect('re-later')
      await later.subscribe(topic, { qos: 2 })
      await later.expectNothing()
      for (const party of [witness, late, later]) await party.leave()
    }
    await publisher.leave()
  },

  async 'a death publishes the will, a DISCONNECT does not'() {
    const watcher = await Party.connect('wi-watch')
    await watcher.subscribe(`${root}/will/#`, { qos: 2 })
    for (const qos of [0, 1, 2]) {
      const will = { topic: `${root}/will/${qos}`, payload: Buffer.from('died'), qos, retain: true }
      const mortal = await Party.connect('wi-mortal', { will })
      await mortal.die()
      const [message] = await watcher.expect('died')
      assert.deepEqual([message.qos, message.retain], [qos, false])
      const late = await Party.connect('wi-late')
      await late.subscribe(will.topic, { qos: 2 })
      assert.equal((await late.next()).retain, true)
      await late.leave()
      const polite = await Party.connect('wi-polite', { will })
      await polite.leave()
      await watcher.expectNothing()
    }
    await watcher.leave()
  },

  async 'a session keeps what came while its client was away'() {
    for (const qos of [1, 2]) {
      const topic = `${root}/away/${qos}`
      const first = await Party.keep(`away${qos}`)
      assert.ok(!first.connack.sessionPresent)
      await first.subscribe(topic, { qos })
      if (qos === 1) await first.leave()
      else await first.die()
      const publisher = await Party.connect('away-pub')
      const sent = numbers(60)
      for (const text of sent) await publisher.publish(topic, text, { qos })
      await publisher.leave()
      const second = await Party.keep(`away${qos}`)
      assert.ok(second.connack.sessionPresent || !saysPresent)
      const got = await second.expect(...sent)
      assert.ok(got.every((message) => message.qos === qos))
      await second.leave()
      const clean = await Party.connect(`away${qos}`, { clean: true })
      assert.ok(!clean.connack.sessionPresent)
      await clean.expectNothing()
      await clean.leave()
    }
  },

  async 'what was not acknowledged comes again, marked as such'() {
    const topic = `${root}/again`
    const deaf = await Party.keep('again')
    await deaf.subscribe(topic, { qos: 1 })
    deaf.neverAcknowledge()
    const publisher = await Party.connect('again-pub')
    await publisher.publish(topic, 'again', { qos: 1 })
    const [first] = await deaf.expect('again')
    assert.deepEqual([first.dup, first.qos], [false, 1])
    await deaf.die()
    const back = await Party.keep('again')
    const [second] = await back.expect('again')
    assert.deepEqual([second.dup, second.qos], [true, 1])
    // It is acknowledged before the client takes the next message.
    await publisher.publish(topic, 'later')
    await back.expect('later')
    await back.leave()
    const settled = await Party.keep('again')
    await settled.expectNothing()
    await settled.leave()
    await publisher.leave()
  },

  async 'an idle client pings and stays'() {
    const idle = await Party.connect('idle', { keepalive: keepAliveSeconds })
    await idle.subscribe(`${root}/idle`, { qos: 1 })
    await pause(2.5 * keepAliveSeconds * 1000)
    const publisher = await Party.connect('idle-pub')
    await publisher.publish(`${root}/idle`, 'still there', { qos: 1 })
    // MQTT.js does not connect again here, so this came over the first connection.
    await idle.expect('still there')
    await idle.leave()
    await publisher.leave()
  },
})
