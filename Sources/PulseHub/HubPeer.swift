// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseProcess
import PulseServe
import PulseText
import PulseTopics
import PulseTransport
import PulseWire

/// What a connection is after its upgrade. Guarded by the loop's mutex.
final class HubPeer {
  /// What few peers have, and those for a moment.
  final class Transient {
    /// What it is subscribed to once it is known who it is.
    var firstTopics: [[UInt8]] = []
    /// What it asked for and sent behind that, until it has taken what it was given.
    var heldWishes: [TopicWish] = []
    var heldID: [UInt8] = []
    var heldBytes: [UInt8] = []
    var closeReason: [UInt8] = []
    /// What the `closed` event says.
    var endText: Sentence = ""
  }

  let wire: WireConnection
  let queue: PeerQueue
  let route: HubRoute
  /// Speaks `pulse.v1`.
  let isPulse: Bool
  /// It has to say who it is; until then it may do nothing else.
  var awaitsToken = false
  /// That its token will expire.
  var isWarned = false
  /// Both close frames have gone.
  var closeIsAnswered = false
  var wasSlow = false
  var wasFlooding = false
  /// What the `closed` event says.
  var endCode: UInt16 = 1006
  let openedAt: Int64
  /// When the next ping is due; `.max` for never.
  var pingAt = Int64.max
  /// nil: nobody in particular.
  var identity: HubIdentity?
  /// By which its user's connections are counted.
  var userKey: AddressKey?
  /// The close frame is to follow the messages that wait.
  var closesWhenEmpty: UInt16?
  var messages: Bucket
  var bytes: Bucket
  private(set) var transient: Transient?

  func makeTransient() -> Transient {
    let made = transient ?? Transient()
    transient = made
    return made
  }

  func dropTransient() { transient = nil }

  /// So much of pongs and replies may wait before nothing more is read.
  private static let mostControl = 64 << 10

  init(_ wire: WireConnection, queue: PeerQueue, route: HubRoute, isPulse: Bool, _ hub: Hub, now: Int64) {
    self.wire = wire
    self.queue = queue
    self.route = route
    self.isPulse = isPulse
    openedAt = now
    let (rate, bytesRate) = (UInt32(clamping: hub.options.peerMessages), UInt32(clamping: hub.options.peerBytes))
    messages = Bucket(rate: rate, burst: rate)
    let largest = route.options.maxMessageSize > 0 ? route.options.maxMessageSize : hub.options.maxMessageSize
    bytes = Bucket(rate: bytesRate, burst: max(bytesRate, UInt32(clamping: largest)))
  }

  var isFlooding: Bool { queue.controlBytes > HubPeer.mostControl }

  func ping() {
    queue.control(.control(.ping, UnsafeRawBufferPointer(start: nil, count: 0)))
  }

  func pong(_ payload: UnsafeRawBufferPointer) { queue.control(.control(.pong, payload)) }

  /// A message of the hub to this peer alone, before the messages of topics.
  func reply(_ text: [UInt8]) { queue.control(.text(text)) }
}
