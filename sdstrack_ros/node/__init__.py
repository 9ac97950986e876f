"""The ROS 2 edge: a lifecycle node that turns camera topics into tracked boxes."""
