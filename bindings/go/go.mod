module pulsews.dev/go

go 1.21
