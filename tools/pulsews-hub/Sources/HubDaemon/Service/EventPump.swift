// SPDX-License-Identifier: Apache-2.0
import CDaemonSystem
import CPulseWS
import Synchronization

/// The thread that fetches the hub's events.
final class EventPump: Sendable {
  private static let batch = 256

  /// Readable when the last event was fetched.
  let ended = daemon_event_descriptor()
  private let turn = Atomic<Int64>(0)
  private let code = Atomic<Int32>(0)
  /// How long it waits for events at most, so that it shows that it lives (ns).
  private let patience: Int64

  init(watchdog: Int64?) { patience = min(1_000_000_000, max(1_000_000, (watchdog ?? .max) / 2)) }

  /// When it was last between two calls (monotonic ns).
  var lastTurn: Int64 { turn.load(ordering: .relaxed) }
  /// What ended it: PULSEWS_ECLOSED after a drain.
  var endCode: Int32 { code.load(ordering: .acquiring) }

  func begin(_ hub: LibraryHub, _ handle: @escaping @Sendable (borrowing HubEvent) -> Void) -> String? {
    turn.store(daemon_monotonic_ns(), ordering: .relaxed)
    return startThread("events") { [self] in
      var events = [pulsews_hub_event](repeating: pulsews_hub_event(), count: EventPump.batch)
      while true {
        turn.store(daemon_monotonic_ns(), ordering: .relaxed)
        let count = pulsews_hub_next(hub.handle, &events, events.count, patience)
        if count == Int32(PULSEWS_ETIMEOUT) { continue }
        if count < 0 {
          code.store(count, ordering: .releasing)
          return daemon_event_set(ended)
        }
        for event in events.prefix(Int(count)) { handle(HubEvent(event)) }
      }
    }
  }
}

/// An event of the hub, as long as it is handled: its texts belong to the library.
struct HubEvent: ~Copyable {
  private let raw: pulsews_hub_event

  init(_ raw: pulsews_hub_event) { self.raw = raw }

  var kind: Int { Int(raw.kind) }
  var peer: UInt64 { raw.peer }
  var request: UInt64 { raw.request }
  var address: String { HubDaemon.text(raw.address) }
  var route: String { HubDaemon.text(raw.route) }
  var target: String { HubDaemon.text(raw.target) }
  var method: String { HubDaemon.text(raw.method) }
  var topic: String { HubDaemon.text(raw.topic) }
  var text: String { HubDaemon.text(raw.text) }
  var data: [UInt8] { Array(UnsafeRawBufferPointer(start: raw.data, count: raw.data == nil ? 0 : raw.length)) }
}
