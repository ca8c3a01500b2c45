// SPDX-License-Identifier: Apache-2.0
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// Takes events to the parts that decide, and does what they answer. `mutex` is held.
extension Line {
  // MARK: Dialer

  /// Takes an event to the dialer, and does what comes of it.
  func dial(_ event: Dialer.Event) { carryOut(step(event)) }

  /// What comes of an event.
  func step(_ event: Dialer.Event) -> Dialer.Step {
    dialer.handle(event, Clock.monotonic(), isBlocked: waitsForConsumer, random: { client.random.next64() })
  }

  func carryOut(_ step: Dialer.Step) {
    switch step {
    case .nothing: break
    case .hold: beginHold(.connect, endpoint: url)
    case .ask: askGate()
    case .connect(let ticket): connect(ticket)
    case .wait(let time): schedule(.attempt, at: Clock.deadline(Clock.monotonic(), after: time))
    case .end, .giveUp: stopTrying(failure ?? Failure(.refused, "no endpoint is left"))
    }
  }

  // MARK: Handover

  /// Takes an event to the handover, and does what comes of it.
  func hand(_ event: Handover.Event) { hand(event, Clock.monotonic()) }

  func hand(_ event: Handover.Event, _ now: Int64) {
    carryOut(handover.handle(event, sight, now, random: { client.random.next64() }))
  }

  private var sight: Handover.Sight {
    var sight = Handover.Sight()
    guard let connection else { return sight }
    sight.isReady = isReady
    sight.hasUnread = connection.hasUnread
    sight.isCut = connection.outputIsCut
    sight.endpoint = connection.endpoint
    sight.better = dialer.endpoints.better(than: connection.endpoint, Clock.monotonic(), quiet: client.options.endpointReturn)
    sight.lastDataAt = liveness.lastDataAt
    sight.lastNumberAt = liveness.lastNumberAt
    sight.hasReachedJoints = inbound.feed?.hasReached(&handover.joints) ?? true
    return sight
  }

  func carryOut(_ step: Handover.Step) {
    switch step {
    case .nothing: break
    case .hold: beginHold(.connect, endpoint: urls[handover.endpoint])
    case .connect: connectSuccessor()
    case .plan(let time): schedule(.rotation, at: time)
    case .returnLater: scheduleReturn()
    case .takeOver:
      guard let successor else { return }
      if handover.purpose == .homeward { changeOver(to: successor) } else { takeOver(successor, after: nil) }
    case .leaveMute:
      guard let successor else { return }
      successor.leave(
        Failure(.stale, "\(successor.url.redacted): no data came over the new connection, and over the old one there did"))
    }
  }

  // MARK: Liveness

  func carryOut(_ step: Liveness.Step) {
    switch step {
    case .nothing: break
    case .lookAgain(let time): schedule(.stale, at: time)
    case .leave:
      connection?.leave(
        Failure(.stale, "\(url.redacted): no data within stale_timeout (\(seconds: client.options.staleTimeout) s)"))
    }
  }
}
