module pulsews.dev/replay

go 1.23

require pulsews.dev/go v0.0.0

replace pulsews.dev/go => ../../../../bindings/go
