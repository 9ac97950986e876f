"""RGB + depth / thermal / event tracking for ROS 2 that survives a failing sensor."""
