# larder::larder is one library made of the three rooms below the service.
